"""The read model: what `notify.updates` and `notify.outcomes` say of each message, projected into SQL tables."""
