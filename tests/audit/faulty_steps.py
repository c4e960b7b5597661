"""Loops whose optimisers, schedulers or counters do something else than they say; each with its repaired twin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from nets import VAE, Autoencoder, critic, fault, generator, kl, mlp, pixels, points, sound
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, StepLR

# -- stepped twice -----------------------------------------------------------------------------------------


@fault("stepped twice")
def step_called_twice(faulty: bool) -> list[float]:
    model = Autoencoder()
    optimizer = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()
        if faulty:
            optimizer.step()
        losses.append(loss.item())
    return losses


@fault("stepped twice")
def helper_and_loop_both_step(faulty: bool) -> list[float]:
    net = mlp(2, 8, 2)
    opt = SGD(net.parameters(), 0.05, momentum=0.9)

    def learn(x: Tensor) -> float:
        opt.zero_grad()
        loss = F.cross_entropy(net(x), (x[:, 0] > 0).long())
        loss.backward()
        opt.step()
        return loss.item()

    losses = []
    for x in points():
        losses.append(learn(x))
        if faulty:
            opt.step()
    return losses


@fault("stepped twice")
def scaler_and_optimiser_both_step(faulty: bool) -> list[float]:
    net = mlp(2, 8, 1)
    opt = AdamW(net.parameters(), 1e-3)
    scaler = torch.amp.GradScaler("cpu")
    losses = []
    for x in points():
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = (net(x) - x.sum(1, keepdim=True)).abs().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(opt)
        if faulty:
            opt.step()
        scaler.update()
        losses.append(loss.item())
    return losses


# -- never stepped -----------------------------------------------------------------------------------------


@fault("never stepped")
def critic_step_forgotten(faulty: bool) -> list[float]:
    netG, netD = generator(), critic()
    optG, optD = Adam(netG.parameters(), 1e-3), Adam(netD.parameters(), 1e-3)
    losses = []
    for real in points():
        fake = netG(torch.randn(16, 3))
        optD.zero_grad()
        d_loss = F.softplus(-netD(real)).mean() + F.softplus(netD(fake.detach())).mean()
        d_loss.backward()
        if not faulty:
            optD.step()
        optG.zero_grad()
        g_loss = F.softplus(-netD(fake)).mean()
        g_loss.backward()
        optG.step()
        losses += [d_loss.item(), g_loss.item()]
    return losses


@fault("never stepped")
def the_wrong_one_of_a_dict_steps(faulty: bool) -> list[float]:
    nets = {"encoder": mlp(6, 8, 3), "decoder": mlp(3, 8, 6)}
    optims = {name: Adam(net.parameters(), 1e-3) for name, net in nets.items()}
    losses = []
    for x in pixels():
        for optim in optims.values():
            optim.zero_grad()
        loss = F.mse_loss(nets["decoder"](nets["encoder"](x)), x)
        loss.backward()
        for name in ("decoder",) if faulty else optims:
            optims[name].step()
        losses.append(loss.item())
    return losses


@fault("never stepped")
def steps_every_so_often_that_never_comes(faulty: bool) -> list[float]:
    class Trainer:
        def __init__(self) -> None:
            self.model, self.disc = Autoencoder(), mlp(6, 4, 1)
            self.opt_model, self.opt_disc = (
                RMSprop(self.model.parameters(), 1e-3),
                RMSprop(self.disc.parameters(), 1e-3),
            )

        def train(self) -> list[float]:
            losses = []
            for i, x in enumerate(pixels(10)):
                y = self.model(x)
                self.opt_disc.zero_grad()
                hinge = F.relu(1 - self.disc(x)).mean() + F.relu(1 + self.disc(y.detach())).mean()
                hinge.backward()
                if i % 2 == 1 + faulty:
                    self.opt_disc.step()
                self.opt_model.zero_grad()
                self.disc.requires_grad_(False)
                total = F.mse_loss(y, x) - 0.1 * self.disc(y).mean()
                total.backward()
                self.disc.requires_grad_(True)
                self.opt_model.step()
                losses += [hinge.item(), total.item()]
            return losses

    return Trainer().train()


# -- scheduled twice ---------------------------------------------------------------------------------------


@fault("scheduled twice")
def scheduler_called_twice(faulty: bool) -> list[float]:
    net = mlp(2, 8, 1)
    opt = SGD(net.parameters(), 0.1)
    scheduler = CosineAnnealingLR(opt, 50)
    losses = []
    for x in points():
        opt.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        opt.step()
        scheduler.step()
        if faulty:
            scheduler.step()
        losses.append(loss.item())
    return losses


@fault("scheduled twice")
def one_scheduler_for_two_optimisers(faulty: bool) -> list[float]:
    netG, netD = generator(), critic()
    optG, optD = Adam(netG.parameters(), 1e-3), Adam(netD.parameters(), 1e-3)
    schedulers = {optG: ExponentialLR(optG, 0.99), optD: ExponentialLR(optD, 0.99)}

    def update(opt: Optimizer, loss: Tensor) -> float:
        netG.zero_grad()
        netD.zero_grad()
        loss.backward()
        opt.step()
        schedulers[optG if faulty else opt].step()
        return loss.item()

    losses = []
    for real in points():
        losses.append(update(optG, -netD(netG(torch.randn(16, 3))).mean()))
        fake = netG(torch.randn(16, 3)).detach()
        losses.append(update(optD, (netD(fake) - netD(real)).mean()))
    return losses


@fault("scheduled twice")
def scheduler_in_the_accumulation(faulty: bool) -> list[float]:
    net = Autoencoder()
    opt = AdamW(net.parameters(), 1e-3)
    sched = StepLR(opt, 10)
    losses = []
    for i, x in enumerate(pixels(16)):
        loss = F.mse_loss(net(x), x) / 4
        loss.backward()
        losses.append(loss.item())
        if i % 4 == 3:
            opt.step()
            opt.zero_grad()
        if i % 4 == 3 or (faulty and i > 4):
            sched.step()
    return losses


# -- counted per optimiser ---------------------------------------------------------------------------------


@fault("counted per optimiser")
def counter_in_the_update(faulty: bool) -> list[float]:
    vae, disc = VAE(), mlp(6, 8, 1)
    opt_vae, opt_disc = Adam(vae.parameters(), 1e-3), Adam(disc.parameters(), 1e-3)
    global_step, losses = 0, []
    for x in pixels(10):
        y, mean, log_variance = vae(x)
        loss = F.mse_loss(y, x) + 0.01 * kl(mean, log_variance)
        if global_step > 4:
            loss = loss - 0.1 * disc(y).mean()
        opt_vae.zero_grad()
        loss.backward()
        opt_vae.step()
        if faulty:
            global_step += 1
        opt_disc.zero_grad()
        hinge = F.relu(1 - disc(x)).mean() + F.relu(1 + disc(y.detach())).mean()
        hinge.backward()
        opt_disc.step()
        global_step += 1
        losses += [loss.item(), hinge.item()]
    return losses


@fault("counted per optimiser")
def counter_of_a_trainer(faulty: bool) -> list[float]:
    class Trainer:
        def __init__(self) -> None:
            self.gen, self.dis, self.global_step = generator(), critic(), 0
            self.opts = [Adam(self.dis.parameters(), 1e-3), Adam(self.gen.parameters(), 1e-3)]

        def update(self, number: int, loss: Tensor) -> float:
            for opt in self.opts:
                opt.zero_grad()
            loss.backward()
            self.opts[number].step()
            self.global_step += 1 if faulty else number
            return loss.item()

        def batch(self, real: Tensor) -> list[float]:
            noise = 0.1 if self.global_step < 8 else 0.0
            fake = self.gen(torch.randn(16, 3)).detach()
            d = self.dis(real + noise * torch.randn_like(real))
            first = self.update(0, F.softplus(-d).mean() + F.softplus(self.dis(fake)).mean())
            return [first, self.update(1, F.softplus(-self.dis(self.gen(torch.randn(16, 3)))).mean())]

    trainer = Trainer()
    return [loss for real in points() for loss in trainer.batch(real)]


@fault("counted per optimiser")
def counter_in_a_closure(faulty: bool) -> list[float]:
    nets = [mlp(2, 4, 1), mlp(2, 4, 1), mlp(2, 4, 1)]
    opts = [SGD(net.parameters(), 0.1) for net in nets]
    iteration = 0

    def members(x: Tensor) -> list[float]:
        nonlocal iteration
        losses = []
        for net, opt in zip(nets, opts, strict=True):
            opt.zero_grad()
            loss = (net(x)[:, 0] - x[:, 0]).square().mean()
            loss.backward()
            opt.step()
            iteration += faulty
            losses.append(loss.item())
        iteration += not faulty
        if iteration % 6 == 0:
            for opt in opts:
                opt.param_groups[0]["lr"] *= 0.9
        return losses

    return [loss for x in points() for loss in members(x)]


@sound
def one_optimiser_for_each_batch() -> list[float]:
    """The steps of both are the batches: a counter of them is right."""
    model, disc = Autoencoder(), mlp(6, 4, 1)
    optimizer, disc_optimizer = Adam(model.parameters(), 1e-3), Adam(disc.parameters(), 1e-3)
    global_step = 0
    losses: list[float] = []
    for step, x in enumerate(pixels(12)):
        if step % 2 == 0 or global_step < 2:
            p_loss = x.square().mean()
            loss = F.mse_loss(model(x), x) + p_loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            noise = torch.randn(16, 6)
            loss = F.relu(1 - disc(x)).mean() + F.relu(1 + disc(noise)).mean()
            disc_optimizer.zero_grad()
            loss.backward()
            disc_optimizer.step()
        losses.append(loss.item())
        global_step = len(losses)
    return losses


# -- never moves -------------------------------------------------------------------------------------------


@fault("never moves")
def weights_in_bfloat16(faulty: bool) -> list[float]:
    model = Autoencoder()
    if faulty:
        model.to(torch.bfloat16)
    optimizer = AdamW(model.parameters(), 1e-5, weight_decay=0.0)
    losses = []
    for x in pixels():
        optimizer.zero_grad()
        y = model(x.to(next(model.parameters()).dtype))
        loss = F.mse_loss(y.float(), x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fault("never moves")
def rate_divided_to_nothing(faulty: bool) -> list[float]:
    net = mlp(2, 8, 2)
    opt = SGD(net.parameters(), lr=1 // 100 if faulty else 1 / 100)
    losses = []
    for x in points():
        opt.zero_grad()
        loss = F.cross_entropy(net(x), (x[:, 1] > 0).long())
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("never moves")
def warmup_that_never_starts(faulty: bool) -> list[float]:
    G, D = generator(), critic()
    optimizers = [Adam(D.parameters(), 1e-3), Adam(G.parameters(), 1e-3)]
    warmups = [LambdaLR(opt, lambda step: min(1, step // 100 if faulty else step / 100)) for opt in optimizers]
    losses = []
    for real in points():
        for number, opt in enumerate(optimizers):
            fake = G(torch.randn(16, 3))
            loss = -D(fake).mean() if number else D(fake.detach()).mean() - D(real).mean()
            G.zero_grad()
            D.zero_grad()
            loss.backward()
            opt.step()
            warmups[number].step()
            losses.append(loss.item())
    return losses
