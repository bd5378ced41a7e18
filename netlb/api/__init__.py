"""What was declared: narrow frozen records, their decoding, and the snapshot that planning reads."""
