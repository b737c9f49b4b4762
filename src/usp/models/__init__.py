"""What things are: pure, frozen declarations without any input or output."""
