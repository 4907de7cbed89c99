"""Training: encoded rows to a trained module, and the module to integer layers.

The only package that imports torch, Brevitas and skorch.  Nothing in it is public.
"""
