"""A warm start in a LightningModule. Processes, precision and checkpoints are Lightning's; pairs are an ordinary data set."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

import warmflow

try:
    import lightning.pytorch as pl
except ImportError:
    import pytorch_lightning as pl  # the same library under its former name

QUICK = "--quick" in sys.argv


class WarmFlow(pl.LightningModule):
    def __init__(self, width=256):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(129, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 64)
        )

    def forward(self, x, t, draft):
        return self.layers(torch.cat([x, draft, t[:, None]], 1))

    def training_step(self, batch, batch_idx):
        loss = warmflow.functional.warm_start_loss(self, batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 1e-3)


if __name__ == "__main__":
    x = torch.tensor(load_digits().data, dtype=torch.float32) / 8 - 1
    pairs = warmflow.pair(x, draft="mixture", rounds=1 if QUICK else 8)
    loader = DataLoader(pairs, 128, shuffle=True, num_workers=2, persistent_workers=True)
    trainer = pl.Trainer(max_epochs=1 if QUICK else 40, accelerator="auto", logger=False, enable_checkpointing=False)
    model = WarmFlow()
    trainer.fit(model, loader)
    samples = warmflow.sample(model, pairs.source, n=64, steps=4)
    print(f"{len(samples)} digits in 4 network calls")
