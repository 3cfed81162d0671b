"""Sound: reading files, resampling, log-mel frames, the inner ear that made SHD, and changes to sound."""
