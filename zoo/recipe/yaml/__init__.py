"""Text to trees and back: YAML 1.2 with places, merging and overrides."""
