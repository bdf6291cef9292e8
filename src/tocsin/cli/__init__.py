"""Commands: thin verbs over the rooms; no logic lives here."""
