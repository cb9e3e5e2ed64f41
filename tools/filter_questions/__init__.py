"""The parts of tools/generate_filter_questions.py."""
