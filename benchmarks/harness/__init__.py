"""What every benchmark shares: statistics, targets, the machine, processes, the results file, pytest-benchmark."""
