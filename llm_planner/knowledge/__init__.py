"""What is known of a measured scene, and what each skill would do to it."""
