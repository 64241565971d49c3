"""Servers that speak to the outside by HTTP."""
