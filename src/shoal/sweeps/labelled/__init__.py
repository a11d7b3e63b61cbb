"""The dataset of a sweep: how it is made, told of, merged and kept."""
