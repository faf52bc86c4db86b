"""From a sentence to skills: four roles, a checker, a sandbox, a gate, and a verdict from the measured scene."""
