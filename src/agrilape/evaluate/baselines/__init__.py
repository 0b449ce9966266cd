"""What a model is read against: guesses that see no image, and simple methods that see the asked place.

- `image_free`: fitted on the answers of the train split alone. A model that is no better has seen nothing.
- `place_series`, `phenology`: the colours of the asked place on the dates that the model is shown, and what
  rules of phenology make of them. A model that is worse leaves unused what it was shown.
"""
