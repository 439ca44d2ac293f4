"""Where people come from: the record (`person`), people folders, puppets, and how batches are made of them."""
