"""Urban sharing platform: takes in what a city's street hardware reports and gives it back as open data."""
