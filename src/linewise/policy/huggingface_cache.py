"""The key-value cache of a changing set of rows, in one buffer.

All live rows are left-padded to one common *cursor*, the column that the next token of every row is written to. A row
that is admitted later is copied to the columns just before the cursor, so rows of any age share each step, and a row
that has ended gives its slot to the next one. Attention reads only the columns from the oldest live row's start on;
when the cursor meets the end of the buffer, those columns move to its front.

Positions are passed to the model apart (`position_ids`), and distances between columns equal distances between
positions within a row, so rotary, learned and relative position encodings and sliding windows all see what they expect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache


@dataclass(kw_only=True)
class Window:
    """The part of the buffers that is in use; shared by all layers."""

    rows: int = 0
    """Live rows, in slots `0 .. rows - 1`."""
    start: int = 0
    """First column that any live row uses."""
    cursor: int = 0
    """Column of the next token."""


class RowLayer(CacheLayerMixin):
    """Keys and values `[slots, heads, columns, head size]` of one layer."""

    is_sliding = False

    def __init__(self, window: Window, *, like: CacheLayerMixin, slots: int, columns: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window = window
        keys, values = keys_and_values(like)
        self.keys = _buffer(keys, slots, columns)
        self.values = _buffer(values, slots, columns)
        self.dtype, self.device = self.keys.dtype, self.keys.device
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is left to do: the buffers exist from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one column and return views of all columns in use."""
        window = self.window
        keys, values = keys_and_values(self)
        keys[: window.rows, :, window.cursor] = key_states[:, :, 0]
        values[: window.rows, :, window.cursor] = value_states[:, :, 0]
        columns = slice(window.start, window.cursor + 1)
        return keys[: window.rows, :, columns], values[: window.rows, :, columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of columns that attention reads, and their offset in the mask."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Number of columns in use."""
        return self.window.cursor - self.window.start

    def get_max_length(self) -> int:
        """No limit that the model would have to know."""
        return -1


class RowCache:
    """The cache of all layers, with the moves between slots and columns."""

    def __init__(self, *, like: DynamicCache, slots: int, columns: int) -> None:
        self.window = Window()
        self.columns = columns
        self.layers = [
            RowLayer(self.window, like=layer, slots=slots, columns=columns) for layer in attention_layers(like)
        ]
        self.cache = Cache(layers=list(self.layers))
        """What the model is called with."""
        self.device = self.layers[0].device

    def _buffers(self) -> Sequence[torch.Tensor]:
        return [buffer for layer in self.layers for buffer in keys_and_values(layer)]

    def write(self, source: DynamicCache, source_rows: torch.Tensor, slots: torch.Tensor) -> None:
        """Copy rows of a prefilled, left-padded cache into slots, ending just before the cursor."""
        width = source.get_seq_length()
        columns = slice(self.window.cursor - width, self.window.cursor)
        prefilled = (states for layer in attention_layers(source) for states in keys_and_values(layer))
        for buffer, states in zip(self._buffers(), prefilled, strict=True):
            buffer[slots, :, columns] = states[source_rows]

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Copy slots onto other slots, as far as columns are in use."""
        columns = slice(self.window.start, self.window.cursor)
        for buffer in self._buffers():
            buffer[targets, :, columns] = buffer[sources, :, columns]

    def shift_to_front(self, *, room: int) -> int:
        """Move the columns in use towards the front, leaving `room` columns before the cursor; returns by how many."""
        window = self.window
        width = window.cursor - window.start
        cursor = max(width, room)
        shift = window.cursor - cursor
        assert shift > 0
        for buffer in self._buffers():
            live = buffer[: window.rows]
            live[:, :, cursor - width : cursor] = live[:, :, window.start : window.cursor].clone()
        window.start -= shift
        window.cursor = cursor
        return shift


def attention_layers(cache: Cache) -> list[CacheLayerMixin]:
    """The layers of a cache, every one of which holds keys and values."""
    layers = [layer for layer in cache.layers if isinstance(layer, CacheLayerMixin)]
    assert len(layers) == len(cache.layers)
    return layers


def keys_and_values(layer: CacheLayerMixin) -> tuple[torch.Tensor, torch.Tensor]:
    """What a layer holds, `[rows, heads, columns, head size]` each."""
    assert layer.keys is not None
    assert layer.values is not None
    return layer.keys, layer.values


def _buffer(like: torch.Tensor, slots: int, columns: int) -> torch.Tensor:
    # Zeros, not empty: a masked column still takes part in 0 * value, which must not be a NaN.
    return torch.zeros(slots, like.shape[1], columns, like.shape[3], dtype=like.dtype, device=like.device)
