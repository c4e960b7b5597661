"""Slots wired into an ``nn.Module``, and its forward."""
