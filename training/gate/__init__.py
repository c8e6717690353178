"""Trains the gate: is this a frontal chest radiograph, the right way up?

``run.py`` is the whole line: films and negatives → views → network → threshold on
validation films → figures → ``models/gate``.
"""
