"""The paper's tables and figures, run here and printed beside the paper's own: `pgkt tables`."""
