"""An invented fleet with known troubles: physics, policy, models, outcomes. No I/O but the models' files."""
