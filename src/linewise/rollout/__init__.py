"""From a task to a judged program: prompts, the code inside a completion, lines and tokens, collection, the buffer."""
