"""Loops whose networks learn from a loss that is not theirs, or from none; each with its repaired twin."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from nets import VAE, Autoencoder, critic, fault, generator, kl, mlp, pixels, points
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

# -- foreign gradient --------------------------------------------------------------------------------------


@fault("foreign gradient")
def dcgan_zeroed_too_early(faulty: bool) -> list[float]:
    netG, netD = generator(), critic()
    optimizerD, optimizerG = Adam(netD.parameters(), 1e-3), Adam(netG.parameters(), 1e-3)
    losses = []
    for real in points():
        if not faulty:
            netD.zero_grad()
        errD_real = F.softplus(-netD(real)).mean()
        errD_real.backward()
        fake = netG(torch.randn(16, 3))
        errD_fake = F.softplus(netD(fake.detach())).mean()
        errD_fake.backward()
        optimizerD.step()
        if faulty:
            netD.zero_grad()
        netG.zero_grad()
        errG = F.softplus(-netD(fake)).mean()
        errG.backward()
        optimizerG.step()
        losses += [errD_real.item(), errD_fake.item(), errG.item()]
    return losses


@fault("foreign gradient")
def each_zeroes_its_own_after_its_step(faulty: bool) -> list[float]:
    vae, disc = VAE(), mlp(6, 8, 1)
    opts = {"vae": AdamW(vae.parameters(), 1e-3), "disc": AdamW(disc.parameters(), 1e-3)}
    losses = []

    def play(name: str, loss: Tensor) -> None:
        if not faulty:
            for opt in opts.values():
                opt.zero_grad()
        loss.backward()
        opts[name].step()
        opts[name].zero_grad()
        losses.append(loss.item())

    for x in pixels():
        y, mean, log_variance = vae(x)
        play("vae", F.mse_loss(y, x) + 1e-2 * kl(mean, log_variance) - 0.1 * disc(y).mean())
        play("disc", F.relu(1 - disc(x)).mean() + F.relu(1 + disc(y.detach())).mean())
    return losses


class BothAtOnce:
    def __init__(self, freeze: bool) -> None:
        self.freeze = freeze
        self.gen, self.dis = generator(), critic()
        self.opt_gen, self.opt_dis = RMSprop(self.gen.parameters(), 1e-3), RMSprop(self.dis.parameters(), 1e-3)

    def step(self, real: Tensor) -> list[float]:
        fake = self.gen(torch.randn(16, 3))
        self.opt_gen.zero_grad()
        self.opt_dis.zero_grad()
        dis_loss = F.softplus(-self.dis(real)).mean() + F.softplus(self.dis(fake.detach())).mean()
        dis_loss.backward()
        if self.freeze:
            self.dis.requires_grad_(False)
        gen_loss = F.softplus(-self.dis(fake)).mean()
        gen_loss.backward()
        self.dis.requires_grad_(True)
        self.opt_gen.step()
        self.opt_dis.step()
        return [dis_loss.item(), gen_loss.item()]


@fault("foreign gradient")
def both_backward_then_both_step(faulty: bool) -> list[float]:
    trainer = BothAtOnce(freeze=not faulty)
    return [loss for real in points() for loss in trainer.step(real)]


# -- never zeroed ------------------------------------------------------------------------------------------


@fault("never zeroed")
def classifier_without_zero_grad(faulty: bool) -> list[float]:
    model = mlp(2, 8, 2)
    optimizer = SGD(model.parameters(), 1e-2)
    losses = []
    for x in points():
        if not faulty:
            optimizer.zero_grad()
        loss = F.cross_entropy(model(x), (x[:, 0] > 0).long())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fault("never zeroed")
def zeroes_the_other_optimiser(faulty: bool) -> list[float]:
    encoder, decoder = mlp(6, 8, 3), mlp(3, 8, 6)
    opt_e, opt_d = Adam(encoder.parameters(), 1e-3), Adam(decoder.parameters(), 1e-3)
    losses = []
    for x in pixels():
        opt_e.zero_grad()
        (opt_e if faulty else opt_d).zero_grad()
        loss = F.mse_loss(decoder(encoder(x)), x)
        loss.backward()
        opt_e.step()
        opt_d.step()
        losses.append(float(loss.detach()))
    return losses


@fault("never zeroed")
def zeroed_once_for_all_critic_steps(faulty: bool) -> list[float]:
    G, D = generator(), critic()
    opt_G, opt_D = RMSprop(G.parameters(), 5e-4), RMSprop(D.parameters(), 5e-4)
    losses = []
    data = points(12)
    for _ in range(4):
        for p in D.parameters():
            p.grad = None
        for real in itertools.islice(data, 3):
            if not faulty:
                for p in D.parameters():
                    p.grad = None
            loss_D = D(G(torch.randn(16, 3)).detach()).mean() - D(real).mean()
            loss_D.backward()
            opt_D.step()
            losses.append(loss_D.item())
        opt_G.zero_grad()
        (-D(G(torch.randn(16, 3))).mean()).backward()
        opt_G.step()
    return losses


# -- dead term ---------------------------------------------------------------------------------------------


@fault("dead term")
def perceptual_under_no_grad(faulty: bool) -> list[float]:
    model, features = Autoencoder(), mlp(6, 5).requires_grad_(False).eval()
    optimizer = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels():
        y = model(x)
        rec_loss = F.mse_loss(y, x, reduction="none")
        with torch.set_grad_enabled(not faulty):
            p_loss = (features(y) - features(x)).square().mean(1, keepdim=True)
        rec_loss = rec_loss + 0.5 * p_loss
        loss = rec_loss.sum() / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fault("dead term")
def kl_of_detached_codes(faulty: bool) -> list[float]:
    model = VAE()
    optimizer = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels():
        y, mean, log_variance = model(x)
        if faulty:
            mean, log_variance = mean.detach(), log_variance.data
        total = F.binary_cross_entropy(y, x)
        total += 0.1 * kl(mean, log_variance)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    return losses


@fault("dead term")
def accuracy_in_the_sum(faulty: bool) -> list[float]:
    net = mlp(2, 8, 2)
    opt = SGD(net.parameters(), 0.1)
    losses = []
    for x in points():
        label = (x[:, 1] > 0).long()
        logits = net(x)
        hit = (logits.argmax(1) == label).float() if faulty else logits.softmax(1).gather(1, label[:, None])[:, 0]
        loss = F.cross_entropy(logits, label) + 0.5 * (1 - hit.mean())
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("dead term")
def penalty_as_a_number(faulty: bool) -> list[float]:
    net = mlp(2, 4, 1)
    opt = SGD(net.parameters(), 0.1)
    losses = []
    for x in points():
        penalty = 1e-2 * sum(p.square().sum() for p in net.parameters())
        error = F.mse_loss(net(x)[:, 0], x.norm(dim=1))
        loss = error + (penalty.item() if faulty else penalty)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("dead term")
def gradient_penalty_without_its_graph(faulty: bool) -> list[float]:
    netG, netD = generator(), critic()
    optG, optD = Adam(netG.parameters(), 1e-3), Adam(netD.parameters(), 1e-3)
    losses = []
    for real in points():
        fake = netG(torch.randn(16, 3)).detach()
        mixed = torch.lerp(real, fake, torch.rand(16, 1)).requires_grad_()
        slope = torch.autograd.grad(netD(mixed).sum(), mixed, create_graph=not faulty)[0]
        gp = (slope.norm(dim=1) - 1).square().mean()
        loss_d = netD(fake).mean() - netD(real).mean() + 10 * gp
        optD.zero_grad()
        loss_d.backward()
        optD.step()
        loss_g = -netD(netG(torch.randn(16, 3))).mean()
        optG.zero_grad()
        loss_g.backward()
        optG.step()
        losses += [loss_d.item(), loss_g.item()]
    return losses


# -- no optimiser ------------------------------------------------------------------------------------------


@fault("no optimiser")
def only_the_decoder_is_given(faulty: bool) -> list[float]:
    model = Autoencoder()
    optimizer = Adam((model.decoder if faulty else model).parameters(), 1e-3)
    losses = []
    for x in pixels():
        loss = F.mse_loss(model(x), x)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fault("no optimiser")
def head_replaced_after_the_optimiser(faulty: bool) -> list[float]:
    body, head = mlp(2, 8), nn.Linear(8, 2)
    net = nn.Sequential(body, head)
    opt = SGD(net.parameters(), 0.1, momentum=0.9)
    net[1] = nn.Linear(8, 3)
    if not faulty:
        opt = SGD(net.parameters(), 0.1, momentum=0.9)
    losses = []
    for x in points():
        opt.zero_grad()
        loss = F.cross_entropy(net(x), (x[:, 0] > 0).long() + (x[:, 1] > 0).long())
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("no optimiser")
def learnt_variance_left_out(faulty: bool) -> list[float]:
    vae, logvar = VAE(), nn.Parameter(torch.zeros(()))
    opt = Adam([*vae.parameters(), *([] if faulty else [logvar])], 1e-3)
    criterion = Likelihood(logvar)
    losses = []
    for x in pixels():
        opt.zero_grad()
        loss = criterion(x, *vae(x))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


class Likelihood(nn.Module):
    def __init__(self, logvar: nn.Parameter) -> None:
        super().__init__()
        self.logvar = logvar

    def forward(self, x: Tensor, y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        return ((x - y).square() / self.logvar.exp() + self.logvar).sum(1).mean() + kl(mean, log_variance)


class Layers(nn.Module):
    def __init__(self, registered: bool) -> None:
        super().__init__()
        layers = [nn.Linear(2, 4), nn.Linear(4, 4)]
        self.layers = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@fault("no optimiser")
def layers_in_a_plain_list(faulty: bool) -> list[float]:
    model = Layers(registered=not faulty)
    optimizer = Adam(model.parameters(), 1e-2)
    losses = []
    for x in points():
        optimizer.zero_grad()
        loss = (model(x)[:, 0] - x.prod(1)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# -- never receives ----------------------------------------------------------------------------------------


@fault("never receives")
def codes_detached(faulty: bool) -> list[float]:
    encoder, decoder = mlp(6, 8, 3), mlp(3, 8, 6)
    optimizer = Adam([{"params": encoder.parameters(), "lr": 1e-4}, {"params": decoder.parameters()}], 1e-3)
    losses = []
    for x in pixels():
        z = encoder(x)
        loss = F.l1_loss(decoder(z.detach() if faulty else z), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fault("never receives")
def codes_drawn_without_the_trick(faulty: bool) -> list[float]:
    encoder, decoder = mlp(6, 8, 6), mlp(3, 8, 6)
    opt_e, opt_d = Adam(encoder.parameters(), 1e-3), Adam(decoder.parameters(), 1e-3)
    losses = []
    for x in pixels():
        posterior = torch.distributions.Normal(*(encoder(x).chunk(2, 1)[0], torch.tensor(0.1)))
        loss = F.mse_loss(decoder(posterior.sample() if faulty else posterior.rsample()), x)
        opt_e.zero_grad()
        opt_d.zero_grad()
        loss.backward()
        opt_e.step()
        opt_d.step()
        losses.append(loss.item())
    return losses


class TwoHeads(nn.Module):
    def __init__(self, both: bool) -> None:
        super().__init__()
        self.both, self.body, self.first, self.second = both, mlp(2, 8), nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x).tanh()
        return self.first(h) + self.second(h) if self.both else self.first(h) + self.first(h)


@fault("never receives")
def second_head_never_called(faulty: bool) -> list[float]:
    model = TwoHeads(both=not faulty)
    optimizer = AdamW(model.parameters(), 1e-3)
    losses = []
    for x in points():
        optimizer.zero_grad()
        loss = F.smooth_l1_loss(model(x)[:, 0], x[:, 0])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# -- unused gradient ---------------------------------------------------------------------------------------


@fault("unused gradient")
def zeroed_before_the_step(faulty: bool) -> list[float]:
    model = mlp(2, 8, 1)
    optimizer = Adam(model.parameters(), 1e-3)
    losses = []
    for x in points():
        loss = model(x).square().mean()
        if not faulty:
            optimizer.zero_grad()
        loss.backward()
        if faulty:
            optimizer.zero_grad()
        optimizer.step()
        losses.append(loss.item())
    return losses


@fault("unused gradient")
def filled_with_zeros_before_the_step(faulty: bool) -> list[float]:
    class Trainer:
        def __init__(self) -> None:
            self.net = Autoencoder()
            self.optim = SGD(self.net.parameters(), 0.1, momentum=0.9)

        def optimise(self, loss: Tensor) -> float:
            if faulty:
                loss.backward()
            self.optim.zero_grad(set_to_none=False)
            if not faulty:
                loss.backward()
            self.optim.step()
            return loss.item()

    trainer = Trainer()
    return [trainer.optimise(F.binary_cross_entropy(trainer.net(x), x)) for x in pixels()]


@fault("unused gradient")
def features_not_frozen(faulty: bool) -> list[float]:
    model, features = Autoencoder(), mlp(6, 5).eval()
    if not faulty:
        features.requires_grad_(False)
    opt = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels():
        opt.zero_grad()
        loss = F.mse_loss(features(model(x)), features(x))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


# -- undetached fakes --------------------------------------------------------------------------------------


@fault("undetached fakes")
def critic_goes_on_into_the_generator(faulty: bool) -> list[float]:
    netG, netD = generator(), critic()
    optG, optD = Adam(netG.parameters(), 1e-3), Adam(netD.parameters(), 1e-3)
    losses = []
    for real in points():
        fake = netG(torch.randn(16, 3))
        d_loss = F.softplus(-netD(real)).mean() + F.softplus(netD(fake if faulty else fake.detach())).mean()
        optD.zero_grad()
        d_loss.backward()
        optD.step()
        g_loss = F.softplus(-netD(netG(torch.randn(16, 3)))).mean()
        optG.zero_grad()
        g_loss.backward()
        optG.step()
        losses += [d_loss.item(), g_loss.item()]
    return losses


@fault("undetached fakes")
def reconstructions_not_detached(faulty: bool) -> list[float]:
    model, disc = Autoencoder(), mlp(6, 8, 1)
    opt_ae, opt_disc = Adam(model.parameters(), 1e-3), Adam(disc.parameters(), 1e-3)
    losses = []
    for step, x in enumerate(pixels(12)):
        y = model(x)
        if step % 2 == 0:
            opt_ae.zero_grad()
            opt_disc.zero_grad()
            loss = F.mse_loss(y, x) - 0.1 * disc(y).mean()
            loss.backward()
            opt_ae.step()
        else:
            opt_disc.zero_grad()
            loss = F.relu(1 - disc(x)).mean() + F.relu(1 + disc(y if faulty else y.detach())).mean()
            loss.backward()
            opt_disc.step()
        losses.append(loss.item())
    return losses


@fault("undetached fakes")
def all_backward_then_all_step(faulty: bool) -> list[float]:
    model, disc, scale = Autoencoder(), mlp(6, 8, 1), 0.5
    opt_model, opt_disc = Adam(model.parameters(), 1e-3), Adam(disc.parameters(), 1e-3)
    losses = []
    for x in pixels():
        y = model(x)
        judged = disc(y)
        total = F.l1_loss(y, x) - scale * judged.mean()
        hinge = F.relu(1 - disc(x)).mean() + F.relu(1 + (judged if faulty else disc(y.detach()))).mean()
        opt_model.zero_grad()
        total.backward(retain_graph=True)
        opt_disc.zero_grad()
        hinge.backward()
        opt_model.step()
        opt_disc.step()
        losses += [total.item(), hinge.item()]
    return losses


@fault("undetached fakes")
def real_and_fake_in_one_batch(faulty: bool) -> list[float]:
    gan = nn.ModuleDict({"g": generator(), "d": critic()})
    opts = [SGD(gan["d"].parameters(), 0.05), SGD(gan["g"].parameters(), 0.05)]
    losses = []
    for real in points():
        with torch.set_grad_enabled(faulty):
            fake = gan["g"](torch.randn(16, 3))
        logits = gan["d"](torch.cat([real, fake]))
        target = torch.cat([torch.ones(16, 1), torch.zeros(16, 1)])
        loss = F.binary_cross_entropy_with_logits(logits, target)
        opts[0].zero_grad()
        loss.backward()
        opts[0].step()
        opts[1].zero_grad()
        adversarial = F.binary_cross_entropy_with_logits(gan["d"](gan["g"](torch.randn(16, 3))), target[:16])
        adversarial.backward()
        opts[1].step()
        losses += [loss.item(), adversarial.item()]
    return losses
