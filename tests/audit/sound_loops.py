"""Sound loops, each in another style: ten that the audit was written for, and more that could mislead it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from nets import VAE, Autoencoder, critic, generator, kl, mlp, pixels, points, sound
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR


@sound
def dcgan() -> list[float]:
    netG = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(True), nn.Linear(8, 2))
    netD = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2, True), nn.Linear(8, 1), nn.Sigmoid())
    criterion = nn.BCELoss()
    optimizerD = Adam(netD.parameters(), 2e-4, betas=(0.5, 0.999))
    optimizerG = Adam(netG.parameters(), 2e-4, betas=(0.5, 0.999))
    fixed_noise = torch.randn(16, 3)
    losses = []
    for i, data in enumerate(points()):
        netD.zero_grad()
        label = torch.full((len(data),), 1.0)
        output = netD(data).view(-1)
        errD_real = criterion(output, label)
        errD_real.backward()
        fake = netG(torch.randn(16, 3))
        label.fill_(0.0)
        output = netD(fake.detach()).view(-1)
        errD_fake = criterion(output, label)
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        errD = errD_real + errD_fake
        optimizerD.step()
        netG.zero_grad()
        label.fill_(1.0)
        errG = criterion(netD(fake).view(-1), label)
        errG.backward()
        optimizerG.step()
        losses += [errD.item(), errG.item(), D_G_z1]
        if i % 100 == 0:
            with torch.no_grad():
                losses.append(netG(fixed_noise).mean().item())
    return losses


@sound
def wgan_gp_with_n_critic() -> list[float]:
    G, D = generator(), critic()
    opt_G, opt_D = Adam(G.parameters(), 1e-4, betas=(0.0, 0.9)), Adam(D.parameters(), 1e-4, betas=(0.0, 0.9))
    losses = []

    def gradient_penalty(real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.rand(len(real), 1)
        between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        score = D(between)
        slope = torch.autograd.grad(
            outputs=score, inputs=between, grad_outputs=torch.ones_like(score), create_graph=True, retain_graph=True
        )[0]
        return ((slope.norm(2, dim=1) - 1) ** 2).mean()

    for i, real in enumerate(points(15)):
        fake = G(torch.randn(16, 3)).detach()
        opt_D.zero_grad()
        d_loss = D(fake).mean() - D(real).mean() + 10 * gradient_penalty(real, fake)
        d_loss.backward()
        opt_D.step()
        losses.append(d_loss.item())
        if i % 5 == 4:
            opt_G.zero_grad()
            g_loss = -D(G(torch.randn(16, 3))).mean()
            g_loss.backward()
            opt_G.step()
            losses.append(g_loss.item())
    return losses


@sound
def vae() -> list[float]:
    model = VAE()
    optimizer = Adam(model.parameters(), lr=1e-3)
    losses = []

    def loss_function(y: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        BCE = F.binary_cross_entropy(y, x, reduction="sum")
        KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return BCE + KLD

    for _ in range(2):
        model.train()
        for data in pixels(5):
            optimizer.zero_grad()
            recon, mu, logvar = model(data)
            loss = loss_function(recon, data, mu, logvar)
            loss.backward()
            losses.append(loss.item())
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for data in pixels(2):
                recon, mu, logvar = model(data)
                losses.append(loss_function(recon, data, mu, logvar).item())
            losses.append(model.decoder(torch.randn(4, 3)).mean().item())
    return losses


class EmaCodebook(nn.Module):
    """Codes moved by averages, not by a gradient."""

    def __init__(self, number: int = 5, size: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(number, size)
        self.register_buffer("count", torch.ones(number))
        self.ema_w = nn.Parameter(torch.randn(number, size))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        index = torch.cdist(z, self.embedding.weight).argmin(1)
        hot = F.one_hot(index, len(self.count)).to(z.dtype)
        code = hot @ self.embedding.weight
        if self.training:
            self.count = 0.9 * self.count + 0.1 * hot.sum(0)
            self.ema_w = nn.Parameter(0.9 * self.ema_w + 0.1 * hot.T @ z.detach())
            self.embedding.weight = nn.Parameter(self.ema_w / self.count[:, None].clamp_min(1e-3))
        commitment = F.mse_loss(code.detach(), z)
        return z + (code - z).detach(), 0.25 * commitment


@sound
def vq_vae_straight_through_with_ema() -> list[float]:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._encoder, self._vq, self._decoder = mlp(6, 8, 3), EmaCodebook(), mlp(3, 8, 6)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            code, loss = self._vq(self._encoder(x))
            return loss, self._decoder(code)

    model = Model()
    optimizer = Adam(model.parameters(), lr=1e-3, amsgrad=False)
    losses = []
    for data in pixels():
        optimizer.zero_grad()
        vq_loss, data_recon = model(data)
        recon_error = F.mse_loss(data_recon, data) / 0.06
        loss = recon_error + vq_loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


class Pool:
    def __init__(self, size: int) -> None:
        self.size, self.kept = size, []

    def query(self, images: Tensor) -> Tensor:
        given = []
        for image in images.data:
            image = image.unsqueeze(0)
            if len(self.kept) < self.size:
                self.kept.append(image)
                given.append(image)
            elif random.random() > 0.5:
                number = random.randrange(self.size)
                given.append(self.kept[number].clone())
                self.kept[number] = image
            else:
                given.append(image)
        return torch.cat(given, 0)


@sound
def cyclegan_with_a_pool() -> list[float]:
    random.seed(0)

    class CycleGAN:
        def __init__(self) -> None:
            self.G_A, self.G_B, self.D_A, self.D_B = mlp(2, 8, 2), mlp(2, 8, 2), critic(), critic()
            self.opt_G = Adam([*self.G_A.parameters(), *self.G_B.parameters()], 2e-4)
            self.opt_D = Adam([*self.D_A.parameters(), *self.D_B.parameters()], 2e-4)
            self.pools = [Pool(20), Pool(20)]

        def optimize(self, A: Tensor, B: Tensor) -> list[float]:
            fake_B, fake_A = self.G_A(A), self.G_B(B)
            rec_A, rec_B = self.G_B(fake_B), self.G_A(fake_A)
            self.freeze(True)
            self.opt_G.zero_grad()
            gan = self.gan(self.D_A(fake_B), True) + self.gan(self.D_B(fake_A), True)
            identity = F.l1_loss(self.G_A(B), B) + F.l1_loss(self.G_B(A), A)
            loss_G = gan + 10 * (F.l1_loss(rec_A, A) + F.l1_loss(rec_B, B)) + 5 * identity
            loss_G.backward()
            self.opt_G.step()
            self.freeze(False)
            self.opt_D.zero_grad()
            loss_D_A = self.backward_D(self.D_A, B, self.pools[0].query(fake_B))
            loss_D_B = self.backward_D(self.D_B, A, self.pools[1].query(fake_A))
            self.opt_D.step()
            return [loss_G.item(), loss_D_A.item(), loss_D_B.item()]

        def backward_D(self, net: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
            loss = (self.gan(net(real), True) + self.gan(net(fake.detach()), False)) * 0.5
            loss.backward()
            return loss

        def freeze(self, frozen: bool) -> None:
            for net in (self.D_A, self.D_B):
                for p in net.parameters():
                    p.requires_grad = not frozen

        @staticmethod
        def gan(logits: Tensor, real: bool) -> Tensor:
            return F.mse_loss(logits, torch.tensor(float(real)).expand_as(logits))

    model = CycleGAN()
    return [loss for A, B in zip(points(), points(8), strict=True) for loss in model.optimize(A, -2 * B)]


@sound
def vae_gan_with_one_backward_and_retained_graphs() -> list[float]:
    enc, dec, dis = mlp(6, 8, 6), mlp(3, 8, 6, last=nn.Sigmoid()), mlp(6, 8, 1)
    opt_enc, opt_dec, opt_dis = (RMSprop(net.parameters(), 1e-3) for net in (enc, dec, dis))
    losses = []
    for x in pixels():
        mean, log_variance = enc(x).chunk(2, 1)
        y = dec(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
        drawn = dec(torch.randn(16, 3))
        for opt in (opt_enc, opt_dec, opt_dis):
            opt.zero_grad()
        real, rec, gen = dis(x), dis(y), dis(drawn)
        ones, zeros = torch.ones_like(real), torch.zeros_like(real)
        cross = F.binary_cross_entropy_with_logits
        loss_rec = F.mse_loss(y, x, reduction="sum") / len(x)
        loss_gan = cross(rec, ones) + cross(gen, ones)
        loss = loss_rec + kl(mean, log_variance) + 0.1 * loss_gan
        loss.backward(retain_graph=True, inputs=[*enc.parameters(), *dec.parameters()])
        loss_dis = cross(real, ones) + cross(rec, zeros) + cross(gen, zeros)
        loss_dis.backward(inputs=list(dis.parameters()))
        opt_enc.step()
        opt_dec.step()
        opt_dis.step()
        losses += [loss.item(), loss_dis.item()]
    return losses


@sound
def lightning_gan() -> list[float]:
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

    class GAN(lightning.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.discriminator = generator(), critic()
            self.seen: list[float] = []

        def configure_optimizers(self) -> tuple[list[Optimizer], list[object]]:
            return [Adam(self.generator.parameters(), 2e-4), Adam(self.discriminator.parameters(), 2e-4)], []

        def training_step(self, batch: Tensor, _: int) -> None:
            optimizer_g, optimizer_d = self.optimizers()
            self.toggle_optimizer(optimizer_g)
            g_loss = F.softplus(-self.discriminator(self.generator(torch.randn(16, 3)))).mean()
            self.manual_backward(g_loss)
            optimizer_g.step()
            optimizer_g.zero_grad()
            self.untoggle_optimizer(optimizer_g)
            self.toggle_optimizer(optimizer_d)
            fake = self.generator(torch.randn(16, 3)).detach()
            d_loss = F.softplus(-self.discriminator(batch)).mean() + F.softplus(self.discriminator(fake)).mean()
            self.manual_backward(d_loss)
            optimizer_d.step()
            optimizer_d.zero_grad()
            self.untoggle_optimizer(optimizer_d)
            self.seen += [g_loss.item(), d_loss.item()]

    model = GAN()
    fit(lightning, model)
    return model.seen


@sound
def lightning_automatic() -> list[float]:
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

    class Model(lightning.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 1)
            self.seen: list[float] = []

        def configure_optimizers(self) -> Optimizer:
            return AdamW(self.parameters(), 1e-3)

        def training_step(self, batch: Tensor, _: int) -> Tensor:
            loss = (self.net(batch)[:, 0] - batch.prod(1)).square().mean()
            self.seen.append(loss.item())
            return loss

    model = Model()
    fit(lightning, model)
    return model.seen


def fit(lightning: object, model: nn.Module) -> None:
    import logging
    import warnings

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(  # type: ignore[attr-defined]
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, torch.utils.data.DataLoader(list(points()), batch_size=None))


@sound
def accelerate_loop() -> list[float]:
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = Autoencoder()
    optimizer = AdamW(model.parameters(), 1e-3)
    scheduler = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    model, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
    losses = []
    for x in pixels(12):
        with accelerator.accumulate(model):
            loss = F.mse_loss(model(x), x)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@sound
def two_scale_update_with_an_average() -> list[float]:
    class Loop:
        def __init__(self) -> None:
            self.gen, self.dis = generator(), nn.utils.parametrizations.spectral_norm(nn.Linear(2, 1))
            self.gen_ema = copy.deepcopy(self.gen).eval()
            self.optims = {"dis": Adam(self.dis.parameters(), 4e-4), "gen": Adam(self.gen.parameters(), 1e-4)}

        def players(self, real: Tensor) -> Iterator[tuple[str, Tensor]]:
            with torch.no_grad():
                fake = self.gen(torch.randn(16, 3))
            yield "dis", F.relu(1 - self.dis(real)).mean() + F.relu(1 + self.dis(fake)).mean()
            yield "gen", -self.dis(self.gen(torch.randn(16, 3))).mean()

        def run(self) -> list[float]:
            losses = []
            for real in points():
                for name, loss in self.players(real):
                    self.optims[name].zero_grad(set_to_none=False)
                    loss.backward()
                    self.optims[name].step()
                    losses.append(loss.item())
                with torch.no_grad():
                    for mean, p in zip(self.gen_ema.parameters(), self.gen.parameters(), strict=True):
                        mean.lerp_(p, 0.01)
                losses.append(self.gen_ema(torch.zeros(1, 3)).sum().item())
            return losses

    return Loop().run()


@sound
def gradient_accumulation() -> list[float]:
    net = nn.Sequential(mlp(2, 8, 8), nn.Dropout(0.1), nn.Linear(8, 3))
    decay = [{"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 0.1},
             {"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
    opt = SGD(decay, lr=0.1, momentum=0.9, nesterov=True)
    losses = []
    for i, x in enumerate(points(16)):
        label = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
        loss = F.cross_entropy(net(x), label, label_smoothing=0.1) / 4
        loss.backward()
        losses.append(loss.item())
        if (i + 1) % 4 == 0:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            opt.zero_grad()
    return losses


@sound
def layers_that_learn_their_size() -> list[float]:
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
    losses: list[float] = []
    opt = None
    for x in points():
        y = net(x)[:, 0]
        opt = opt or SGD(net.parameters(), 0.1)
        loss = F.huber_loss(y, x[:, 0])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@sound
def closures_of_lbfgs() -> list[float]:
    net = mlp(2, 4, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
    losses = []
    for x in points(4):

        def closure(x: Tensor = x) -> Tensor:
            optimizer.zero_grad()
            loss = (net(x)[:, 0] - x[:, 0]).square().mean()
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
    return losses


@sound
def functional_gradients() -> list[float]:
    net = mlp(2, 4, 1)
    opt = SGD(net.parameters(), 0.1)
    names = dict(net.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return (torch.func.functional_call(net, parameters, (x,))[:, 0] - x[:, 0]).square().mean()

    losses = []
    for x in points():
        gradients, value = torch.func.grad_and_value(loss)({n: p.detach() for n, p in names.items()}, x)
        for name, p in names.items():
            p.grad = gradients[name]
        opt.step()
        losses.append(value.item())
    return losses


@sound
def shared_trunk_of_two_optimisers() -> list[float]:
    """As InfoGAN: the code's head sits on the critic, and its loss trains both and the generator."""
    gen, trunk, real_or_not, code = generator(), mlp(2, 8), nn.Linear(8, 1), nn.Linear(8, 1)
    opt_d = Adam([*trunk.parameters(), *real_or_not.parameters()], 1e-3)
    opt_g = Adam(gen.parameters(), 1e-3)
    opt_info = Adam([*gen.parameters(), *trunk.parameters(), *code.parameters()], 1e-3)
    losses = []
    for real in points():
        z = torch.randn(16, 3)
        opt_g.zero_grad()
        g_loss = F.softplus(-real_or_not(trunk(gen(z)))).mean()
        g_loss.backward()
        opt_g.step()
        opt_d.zero_grad()
        d_loss = F.softplus(-real_or_not(trunk(real))).mean() + F.softplus(real_or_not(trunk(gen(z).detach()))).mean()
        d_loss.backward()
        opt_d.step()
        opt_info.zero_grad()
        info_loss = F.mse_loss(code(trunk(gen(z)))[:, 0], z[:, 0])
        info_loss.backward()
        opt_info.step()
        losses += [g_loss.item(), d_loss.item(), info_loss.item()]
    return losses


@sound
def byol_with_a_target_in_training_mode() -> list[float]:
    def normed(a: int, b: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(a, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, b))

    online, predictor = normed(2, 4), normed(4, 4)
    target = copy.deepcopy(online).requires_grad_(False)
    opt = Adam([*online.parameters(), *predictor.parameters()], 1e-3)
    losses = []
    for x in points():
        with torch.no_grad():
            goal = target(x + 0.1 * torch.randn_like(x))
        seen = predictor(online(x + 0.1 * torch.randn_like(x)))
        loss = 2 - 2 * F.cosine_similarity(seen, goal).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        for p, t in zip(online.parameters(), target.parameters(), strict=True):
            t.data = 0.9 * t.data + 0.1 * p.data
        losses.append(loss.item())
    return losses


class Adapted(nn.Module):
    """A frozen layer with a small one beside it."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(0.1 * torch.randn(2, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.down.T @ self.up.T


@sound
def adapters_in_a_frozen_network_with_dropout() -> list[float]:
    frozen = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.1)).requires_grad_(False)
    net = nn.Sequential(frozen, Adapted(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 2).requires_grad_(False)).train()
    opt = AdamW([p for p in net.parameters() if p.requires_grad], 1e-2)
    losses = []
    for x in points():
        loss = F.cross_entropy(net(x), (x[:, 0] > 0).long())
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@sound
def soft_actor_critic() -> list[float]:
    actor, critics = nn.Linear(2, 2), [nn.Linear(3, 1), nn.Linear(3, 1)]
    targets, log_alpha = copy.deepcopy(critics), torch.zeros(1, requires_grad=True)
    opt_actor, opt_alpha = Adam(actor.parameters(), 1e-3), Adam([log_alpha], 1e-3)
    opt_critics = Adam([p for net in critics for p in net.parameters()], 1e-3)

    def act(state: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = actor(state).chunk(2, 1)
        policy = torch.distributions.Normal(mean, log_std.exp())
        action = policy.rsample()
        return action, policy.log_prob(action)

    def least(nets: list[nn.Linear], state: Tensor, action: Tensor) -> Tensor:
        return torch.min(*(net(torch.cat([state, action], 1)) for net in nets))

    losses = []
    for state in points():
        action, following = torch.randn(16, 1), torch.randn(16, 2)
        with torch.no_grad():
            then, density = act(following)
            goal = torch.randn(16, 1) + 0.9 * (least(targets, following, then) - log_alpha.exp() * density)
        critic_loss = sum(F.mse_loss(net(torch.cat([state, action], 1)), goal) for net in critics)
        opt_critics.zero_grad()
        critic_loss.backward()
        opt_critics.step()
        action, density = act(state)
        actor_loss = (log_alpha.exp().detach() * density - least(critics, state, action)).mean()
        opt_actor.zero_grad()
        actor_loss.backward()
        opt_actor.step()
        alpha_loss = -(log_alpha.exp() * (density - 1).detach()).mean()
        opt_alpha.zero_grad()
        alpha_loss.backward()
        opt_alpha.step()
        for net, target in zip(critics, targets, strict=True):
            for p, t in zip(net.parameters(), target.parameters(), strict=True):
                t.data.copy_(0.9 * t.data + 0.1 * p.data)
        losses += [critic_loss.item(), actor_loss.item(), alpha_loss.item()]
    return losses


@sound
def three_players_of_one_vae_gan() -> list[float]:
    """Each takes its own of three gradients; the decoder's goes on into the encoder, where it is thrown away."""
    enc, dec, dis = mlp(6, 8, 3), mlp(3, 8, 6), mlp(6, 8, 1)
    opt_enc, opt_dec, opt_dis = (RMSprop(net.parameters(), 1e-3) for net in (enc, dec, dis))
    losses = []
    for x in pixels():
        opt_dis.zero_grad()
        judged = dis(torch.cat([dec(enc(x)), dec(torch.randn(16, 3))]).detach())
        loss_dis = F.softplus(-dis(x)).mean() + F.softplus(judged).mean()
        loss_dis.backward()
        opt_dis.step()
        opt_dec.zero_grad()
        y = dec(enc(x))
        loss_dec = F.mse_loss(y, x) + F.softplus(-dis(y)).mean()
        loss_dec.backward()
        opt_dec.step()
        opt_enc.zero_grad()
        z = enc(x)
        loss_enc = F.mse_loss(dec(z), x) + 0.1 * z.square().mean()
        loss_enc.backward()
        opt_enc.step()
        losses += [loss_dis.item(), loss_dec.item(), loss_enc.item()]
    return losses
