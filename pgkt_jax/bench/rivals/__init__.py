"""What a careful person would write without this package: the same neighbours, the same morph, other tools."""
