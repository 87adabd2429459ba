"""MovieLens-100K, from the wheel that ships it: ratings split by time, with what each user rated before.

pip install --no-deps recbole==1.2.1
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from report import data_wheel

MAX_HISTORY = 50
PRIOR = 10  # ratings at the mean rate that smooth every observed rate


class Ratings(NamedTuple):
    """Ratings by user, and by time within a user: int64[n] each."""

    user: np.ndarray
    item: np.ndarray
    liked: np.ndarray  # 1: four or five stars
    time: np.ndarray  # seconds


def load_ratings() -> Ratings:
    """MovieLens-100K, from the installed wheel's files; its package is not imported."""
    wheel = data_wheel("recbole==1.2.1")
    path = wheel.locate_file("recbole/dataset_example/ml-100k/ml-100k.inter")
    user, item, stars, seconds = np.loadtxt(str(path), dtype=np.int64, skiprows=1, unpack=True)
    order = np.lexsort((item, seconds, user))
    return Ratings(user[order], item[order], (stars[order] >= 4).astype(np.int64), seconds[order])


def load_titles(rows: int) -> list[str]:
    """The title of each film number below `rows`; empty for numbers that are not used."""
    wheel = data_wheel("recbole==1.2.1")
    lines = Path(str(wheel.locate_file("recbole/dataset_example/ml-100k/ml-100k.item"))).read_text().splitlines()[1:]
    titles = {int(number): title for number, title, *_ in (line.split("\t") for line in lines)}
    return [titles.get(number, "") for number in range(rows)]


def earlier(user: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each rating n, the same user's ratings of strictly earlier time: those at positions [begin[n], end[n]).

    Args:
      user, seconds: int[n], sorted by user and then by time.
    """
    position = np.arange(len(user))
    new_user = np.diff(user, prepend=-1) != 0
    new_moment = new_user | (
        np.diff(seconds, prepend=-1) != 0
    )  # many ratings share a second: they do not see each other
    begin = np.maximum.accumulate(np.where(new_user, position, 0))
    end = np.maximum.accumulate(np.where(new_moment, position, 0))
    return begin, end


class Dataset:
    """Ratings, split by time, with what was known of the user before each."""

    def __init__(self, ratings: Ratings, past_share: float = 0.8):
        self.ratings = ratings
        split = np.quantile(ratings.time, past_share)
        self.past, self.future = np.flatnonzero(ratings.time < split), np.flatnonzero(ratings.time >= split)
        self.base_rate = ratings.liked[self.past].mean()
        first, self.end = earlier(ratings.user, ratings.time)
        self.begin = np.maximum(first, self.end - MAX_HISTORY)
        likes_before = np.concatenate([[0], np.cumsum(ratings.liked)])
        count = self.end - first
        rate = (likes_before[self.end] - likes_before[first] + PRIOR * self.base_rate) / (count + PRIOR)
        self.user_stats = np.stack([log_odds(rate), np.log1p(count)], axis=1).astype(np.float32)

    def history(self, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The bags of what these events' users rated before: ids 2 * item + liked, and lengths."""
        lengths = self.end[events] - self.begin[events]
        starts = np.cumsum(lengths) - lengths
        positions = np.arange(lengths.sum()) + np.repeat(self.begin[events] - starts, lengths)
        return 2 * self.ratings.item[positions] + self.ratings.liked[positions], lengths

    def batches(self, epochs: int, size: int, seed: int = 0) -> list[np.ndarray]:
        """Events of the past in batches of `size`, in another order every epoch; what does not fill a batch is left out."""
        rng, count = np.random.default_rng(seed), len(self.past) // size
        orders = [rng.permutation(self.past)[: count * size].reshape(count, size) for _ in range(epochs)]
        return list(np.concatenate(orders))

    def popularity(self) -> np.ndarray:
        """The baseline for each event of the future: the share of likes among its item's past ratings, smoothed."""
        size = self.ratings.item.max() + 1
        item, liked = self.ratings.item[self.past], self.ratings.liked[self.past]
        likes, count = np.bincount(item, liked, size), np.bincount(item, minlength=size)
        return ((likes + PRIOR * self.base_rate) / (count + PRIOR))[self.ratings.item[self.future]]


def log_odds(p):
    return np.log(p) - np.log1p(-p)
