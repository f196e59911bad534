"""An external training script: a loop with two optimisers that saves and loads the model.

It uses the installed package `mindref_torch` without its checkout. The target of a user is the
neighbour of the first item of the history, so the model can learn.
"""

import sys

import torch

from mindref.config import Config
from mindref_torch import MIND, Batch, Histories

ITEMS, AGES, USERS, LENGTH, NEGATIVES = 200, 5, 64, 12, 80
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(int(sys.argv[1]))

# the vector of an item is the mean of its id and one of ten topics; a user has an age
ids = torch.arange(ITEMS, device=device)
rows = torch.stack([ids, ITEMS + ids % 10], dim=1)
weights = torch.full((ITEMS, 2), 0.5, device=device)
config = Config(interests=3, width=16, profile_width=4, hidden=(32,), power=2.0)
shape = {"profiles": AGES, "features": 1, "sparse": True}
model = MIND(config, rows, weights, **shape).to(device)

tables = [model.items, model.profile]
matrices = [x for x in model.parameters() if all(x is not table for table in tables)]
optimisers = [torch.optim.SparseAdam(tables, lr=0.02), torch.optim.AdamW(matrices, lr=0.01)]


def draw_batch() -> Batch:
    items = torch.randint(ITEMS, (USERS, LENGTH), device=device)
    lengths = torch.randint(1, LENGTH + 1, (USERS, 1), device=device)
    histories = Histories(
        items,
        mask=torch.arange(LENGTH, device=device) < lengths,
        init_logits=torch.randn(USERS, LENGTH, config.interests, device=device),
        profile=torch.randint(AGES, (USERS, 1), device=device),
    )
    negatives = torch.randperm(ITEMS, device=device)[:NEGATIVES]
    log_expected = torch.full((NEGATIVES,), NEGATIVES / ITEMS, device=device).log()
    target_log_expected = log_expected[:1].expand(USERS)
    return Batch(histories, (items[:, 0] + 1) % ITEMS, negatives, target_log_expected, log_expected)


losses = []
for _ in range(60):
    loss = model(draw_batch())
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(matrices, 1.0)
    for optimiser in optimisers:
        optimiser.step()
    losses.append(loss.item())

torch.save({"model": model.state_dict(), "losses": losses}, "mind.pt")
loaded = MIND(config, rows, weights, **shape).to(device).eval()
loaded.load_state_dict(torch.load("mind.pt")["model"])
with torch.inference_mode():
    histories = draw_batch().histories
    before, active = model.interests(histories)
    after, _ = loaded.interests(histories)
    scores = (after @ loaded.item_vectors(ids).T).masked_fill(~active[..., None], -torch.inf)
    best = scores.amax(1).topk(5).indices
assert torch.equal(before, after)
assert best.shape == (USERS, 5)
print(f"{sum(losses[:5]) / 5:.4f} {sum(losses[-5:]) / 5:.4f}")
