"""Sets labelled by hand, and how often what is read out of logs agrees with them."""
