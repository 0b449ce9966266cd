"""A model as a service: OpenAI chat, questions about GeoTIFFs, jobs, and a page with a map."""
