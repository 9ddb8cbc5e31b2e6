"""The places a store can live in, behind :class:`reenact.store.interface.Backend`."""
