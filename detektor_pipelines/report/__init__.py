"""`detektor report`: what the agents did over a period, as one HTML file that people read and send around.

Belongs here: what the report says (`contents`), where each part of it comes from (`activity`, `series`, `standing_out`, `reading`,
`quality`), and how it looks (`charts`, `page`). It reads the stores and changes nothing. Does not belong here: numbers that others compute
too; a report that has a figure of its own could contradict them.
"""
