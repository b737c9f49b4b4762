"""The larger groups of commands. They wire objects together as `usp.cli` does, which adds them."""
