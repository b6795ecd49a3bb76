"""What the robot says in words: detector, captioner, scene change."""
