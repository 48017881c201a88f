"""Names that verl's configuration uses, where importing verl is not wanted."""

PREFIX = "scorecraft"
RECIPE_VARIABLE = "SCORECRAFT_RECIPE"
