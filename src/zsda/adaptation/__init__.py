"""How a network is trained: losses, tasks, schedules and the phases that a method consists of."""
