"""Regions out of balance: demand stands where its data lie, supply elsewhere; the production solver moves what is worth moving.

After MAST (Choudhury et al., OSDI 2024), where the worst region's demand was 2.63 times its supply and came to 0.98. Every job
reads data where it comes from, some also elsewhere; moving them costs money by the links on the way, and time by the narrowest.
"""
