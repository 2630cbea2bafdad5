"""What a person does to a home: every act on record. The CLI, and later a console, call it."""
