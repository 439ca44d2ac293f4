"""Writes any data set as ArrayRecord and reads it back; tensorflow-datasets is imported here alone."""
