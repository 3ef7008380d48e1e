"""What a store holds, as one page to hand in: tables beside the published ones, figures, data."""
