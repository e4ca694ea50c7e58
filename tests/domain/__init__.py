"""The pure core, without a store, a network or a clock. Deliberately absent: what flows do with it."""
