"""What kind of memory an architecture is: tasks of growing difficulty, beside others of equal size."""
