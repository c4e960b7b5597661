"""What is known of a recipe before anything is trained."""
