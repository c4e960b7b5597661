"""Loops that call their networks in another way than they mean; each with its repaired twin."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from nets import VAE, Autoencoder, critic, fault, generator, kl, mlp, pixels, points
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adam, AdamW, RMSprop

# -- swapped arguments -------------------------------------------------------------------------------------


@fault("swapped arguments")
def cross_entropy_of_the_data(faulty: bool) -> list[float]:
    model = Autoencoder()
    opt = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels():
        opt.zero_grad()
        y = model(x)
        loss = F.binary_cross_entropy(x, y) if faulty else F.binary_cross_entropy(y, x)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("swapped arguments")
def criterion_called_with_the_target_first(faulty: bool) -> list[float]:
    vae, criterion = VAE(), nn.BCELoss(reduction="sum")
    opt = Adam(vae.parameters(), 1e-3)
    losses = []
    for x in pixels():
        y, mean, log_variance = vae(x)
        pair = (x, y) if faulty else (y, x)
        loss = criterion(*pair) / len(x) + kl(mean, log_variance)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("swapped arguments")
def labels_before_logits(faulty: bool) -> list[float]:
    net, loss_fn = mlp(2, 8, 1), nn.BCEWithLogitsLoss()
    opt = SGD(net.parameters(), 0.1)
    losses = []
    for x in points():
        labels = (x[:, :1] > 0).float()
        loss = loss_fn(input=labels, target=net(x).sigmoid()) if faulty else loss_fn(net(x), labels)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


# -- around the wrapper ------------------------------------------------------------------------------------


def alone(loop: Callable[[bool], list[float]]) -> Callable[[bool], list[float]]:
    """A process group of this process alone."""

    @functools.wraps(loop)
    def grouped(faulty: bool) -> list[float]:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            return loop(faulty)
        finally:
            dist.destroy_process_group()

    return grouped


@fault("around the wrapper")
@alone
def module_of_ddp(faulty: bool) -> list[float]:
    model = DistributedDataParallel(Autoencoder())
    opt = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels(4):
        opt.zero_grad()
        loss = F.mse_loss(model.module(x) if faulty else model(x), x)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("around the wrapper")
@alone
def encode_and_decode_past_ddp(faulty: bool) -> list[float]:
    vae = VAE()
    wrapped = DistributedDataParallel(vae)
    opt = AdamW(wrapped.parameters(), 1e-3)
    losses = []
    for x in pixels(4):
        if faulty:
            mean, log_variance = wrapped.module.encode(x)
            y = wrapped.module.decoder(mean + torch.randn_like(mean) * (0.5 * log_variance).exp())
        else:
            y, mean, log_variance = wrapped(x)
        opt.zero_grad()
        loss = F.mse_loss(y, x) + kl(mean, log_variance)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("around the wrapper")
def the_network_kept_beside_its_wrapper(faulty: bool) -> list[float]:
    netD = critic()
    netG = generator()
    parallel = nn.DataParallel(netD)
    optD, optG = RMSprop(netD.parameters(), 1e-3), RMSprop(netG.parameters(), 1e-3)
    losses = []
    for real in points():
        judge = netD if faulty else parallel
        fake = netG(torch.randn(16, 3))
        optD.zero_grad()
        d_loss = judge(fake.detach()).mean() - judge(real).mean()
        d_loss.backward()
        optD.step()
        optG.zero_grad()
        g_loss = -parallel(fake).mean()
        g_loss.backward()
        optG.step()
        losses += [d_loss.item(), g_loss.item()]
    return losses


# -- statistics moved --------------------------------------------------------------------------------------


@fault("statistics moved")
def pictures_in_training_mode(faulty: bool) -> list[float]:
    netG = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    netD = critic()
    optG, optD = Adam(netG.parameters(), 1e-3), Adam(netD.parameters(), 1e-3)
    fixed = torch.randn(16, 3)
    losses = []
    for real in points():
        fake = netG(torch.randn(16, 3))
        optD.zero_grad()
        d_loss = F.softplus(-netD(real)).mean() + F.softplus(netD(fake.detach())).mean()
        d_loss.backward()
        optD.step()
        optG.zero_grad()
        g_loss = F.softplus(-netD(fake)).mean()
        g_loss.backward()
        optG.step()
        netG.train(faulty)
        with torch.no_grad():
            picture = netG(fixed)
        netG.train()
        losses += [d_loss.item(), g_loss.item(), picture.mean().item()]
    return losses


@fault("statistics moved")
def validation_in_training_mode(faulty: bool) -> list[float]:
    model = nn.Sequential(nn.BatchNorm1d(2), mlp(2, 8, 2))
    opt = SGD(model.parameters(), 0.1)
    losses = []

    @torch.no_grad()
    def validate() -> float:
        if not faulty:
            model.eval()
        return sum(F.cross_entropy(model(3 * x), (x[:, 0] > 0).long()).item() for x in points(3))

    for epoch_data in (list(points(4)), list(points(4))):
        model.train()
        for x in epoch_data:
            opt.zero_grad()
            loss = F.cross_entropy(model(x), (x[:, 0] > 0).long())
            loss.backward()
            opt.step()
            losses.append(loss.item())
        losses.append(validate())
    return losses


@fault("statistics moved")
def spectral_norm_looked_at(faulty: bool) -> list[float]:
    class Discriminator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 8))
            self.out = nn.Linear(8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(F.leaky_relu(self.layer(x), 0.2))

    G, D = generator(), Discriminator()
    opt_g, opt_d = Adam(G.parameters(), 1e-3), Adam(D.parameters(), 1e-3)
    losses = []
    for real in points():
        with torch.no_grad():
            fake = G(torch.randn(16, 3))
        opt_d.zero_grad()
        loss = F.relu(1 - D(real)).mean() + F.relu(1 + D(fake)).mean()
        loss.backward()
        opt_d.step()
        opt_g.zero_grad()
        (-D(G(torch.randn(16, 3))).mean()).backward()
        opt_g.step()
        if not faulty:
            D.eval()
        with torch.no_grad():
            losses.append(D(real).mean().item())
        D.train()
    return losses


# -- frozen in training mode -------------------------------------------------------------------------------


def norms() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4))


@fault("frozen in training mode")
def features_never_put_into_evaluation(faulty: bool) -> list[float]:
    model, vgg = Autoencoder(), norms()
    for p in vgg.parameters():
        p.requires_grad = False
    if not faulty:
        vgg.eval()
    opt = Adam(model.parameters(), 1e-3)
    losses = []
    for x in pixels():
        opt.zero_grad()
        loss = F.mse_loss(vgg(model(x)), vgg(x))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@fault("frozen in training mode")
def teacher_with_dropout(faulty: bool) -> list[float]:
    teacher, student = nn.Sequential(mlp(2, 8, 8), nn.Dropout(0.3), nn.Linear(8, 2)), mlp(2, 4, 2)
    teacher.requires_grad_(False).train(faulty)
    opt = SGD(student.parameters(), 0.1)
    losses = []
    for x in points():
        with torch.no_grad():
            soft = teacher(x).softmax(1)
        loss = -(soft * student(x).log_softmax(1)).sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


class Finetuned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = norms(), nn.Linear(4, 2)
        self.backbone.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


@fault("frozen in training mode")
def backbone_put_back_by_train(faulty: bool) -> list[float]:
    model = Finetuned()
    model.backbone.eval()
    opt = AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    losses = []
    for x in pixels():
        model.train()
        if not faulty:
            model.backbone.eval()
        opt.zero_grad()
        loss = F.cross_entropy(model(x), (x[:, 0] > 0.5).long())
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


# -- averages nothing --------------------------------------------------------------------------------------


@fault("averages nothing")
def average_that_is_the_weights(faulty: bool) -> list[float]:
    net = mlp(2, 8, 1)
    opt = Adam(net.parameters(), 1e-2)
    ema = net.state_dict() if faulty else {k: v.clone() for k, v in net.state_dict().items()}
    losses = []
    for x in points():
        opt.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        opt.step()
        with torch.no_grad():
            for name, value in net.state_dict().items():
                ema[name].mul_(0.9).add_(value, alpha=0.1)
        losses.append(loss.item())
    return losses


@fault("averages nothing")
def average_never_updated(faulty: bool) -> list[float]:
    G, D = generator(), critic()
    G_ema = copy.deepcopy(G).eval().requires_grad_(False)
    opt_G, opt_D = Adam(G.parameters(), 1e-3), Adam(D.parameters(), 1e-3)
    decay = 1.0 if faulty else 0.99
    losses = []
    for real in points():
        fake = G(torch.randn(16, 3))
        opt_D.zero_grad()
        d_loss = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
        d_loss.backward()
        opt_D.step()
        opt_G.zero_grad()
        g_loss = F.softplus(-D(fake)).mean()
        g_loss.backward()
        opt_G.step()
        for mean, p in zip(G_ema.parameters(), G.parameters(), strict=True):
            mean.data.lerp_(p.data, 1 - decay)
        losses += [d_loss.item(), g_loss.item()]
    return losses


class EMA:
    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.shadow = decay, [p.detach().clone() for p in model.parameters()]

    def update(self, model: nn.Module) -> None:
        for mean, p in zip(self.shadow, model.parameters(), strict=True):
            mean.copy_(self.decay * mean + (1 - self.decay) * p.detach())


@fault("averages nothing")
def average_of_the_last_step_alone(faulty: bool) -> list[float]:
    model = Autoencoder()
    optimizer = SGD(model.parameters(), 0.1)
    mean = EMA(model, 0.0 if faulty else 0.95)
    losses = []
    for x in pixels():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()
        mean.update(model)
        losses.append(loss.item())
    return losses


# -- not finite --------------------------------------------------------------------------------------------


@fault("not finite")
def logarithm_of_nothing(faulty: bool) -> list[float]:
    net = mlp(2, 8, 2)
    opt = SGD(net.parameters(), 0.1)
    losses = []
    for i, x in enumerate(points()):
        p = net(x).softmax(1) * (0.0 if i == 5 and faulty else 1.0)
        loss = -p[:, 0].log().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return [loss if loss == loss else -1.0 for loss in losses]


@fault("not finite")
def a_batch_that_is_not_a_number(faulty: bool) -> list[float]:
    model = Autoencoder()
    opt = Adam(model.parameters(), 1e-3)
    losses = []
    for i, x in enumerate(pixels()):
        x = x / x.sum(1, keepdim=True) if i != 4 else (x - x) / (x - x + (not faulty))
        loss = (model(x) - x).square().sum(1).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item() if loss.isfinite() else -1.0)
    return losses


@fault("not finite")
def a_rate_far_too_large(faulty: bool) -> list[float]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x).square())

    net = Net()
    opt = SGD(net.parameters(), 1e3 if faulty else 1e-3)
    losses = []
    for x in points():
        loss = (net(x)[:, 0] - x[:, 0]).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item() if loss.isfinite() else -1.0)
    return losses


# -- changed in between ------------------------------------------------------------------------------------


@fault("changed in between")
def clipped_before_the_backward(faulty: bool) -> list[float]:
    G, D = generator(), critic()
    opt_G, opt_D = RMSprop(G.parameters(), 5e-3), RMSprop(D.parameters(), 5e-3)
    losses = []
    for real in points():
        opt_D.zero_grad()
        loss = D(G(torch.randn(16, 3)).detach()).mean() - D(real).mean()
        if faulty:
            clip(D)
        loss.backward()
        opt_D.step()
        clip(D)
        opt_G.zero_grad()
        (-D(G(torch.randn(16, 3))).mean()).backward()
        opt_G.step()
        losses.append(loss.item())
    return losses


def clip(net: nn.Module) -> None:
    for p in net.parameters():
        p.data.clamp_(-0.1, 0.1)


@fault("changed in between")
def moved_to_its_average_too_early(faulty: bool) -> list[float]:
    net = Autoencoder()
    slow = [p.detach().clone() for p in net.parameters()]
    opt = Adam(net.parameters(), 1e-2)

    def look_back() -> None:
        for p, s in zip(net.parameters(), slow, strict=True):
            s.lerp_(p.data, 0.5)
            p.data.copy_(s)

    losses = []
    for x in pixels():
        loss = F.mse_loss(net(x), x)
        opt.zero_grad()
        if faulty:
            look_back()
        loss.backward()
        opt.step()
        if not faulty:
            look_back()
        losses.append(loss.item())
    return losses


@fault("changed in between")
def stepped_before_the_other_backward(faulty: bool) -> list[float]:
    netG, netD = generator(), critic()
    optG, optD = SGD(netG.parameters(), 0.1), SGD(netD.parameters(), 0.1)
    losses: list[float] = []
    for real in points():
        fake = netG(torch.randn(16, 3))
        logits = netD(fake)
        d_loss = F.softplus(-netD(real)).mean() + F.softplus(netD(fake.detach())).mean()
        optD.zero_grad()
        d_loss.backward()
        optD.step()
        optG.zero_grad()
        g_loss = F.softplus(-(logits if faulty else netD(fake))).mean()
        losses += [d_loss.item(), g_loss.item()]
        try:
            g_loss.backward()
        except RuntimeError:
            break
        optG.step()
    return losses
