"""The controls on the device: one file per control, named like its host form."""
