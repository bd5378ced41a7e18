"""What the processes that work for a daemon have in common: how long they go on without it, and who may take them over.

leash     for how long a worker goes on: pure
terms     what a worker is started with
adapter   the worker's line to its program, and the program's hold on the worker
"""
