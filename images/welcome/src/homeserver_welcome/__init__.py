"""The page on which a device learns to trust the home.

`server` answers requests, `home` reads the mounted files, `devices` recognizes devices, `guides` has
the steps for each kind of device, `pictures` draws them, `page` puts a page together from `templates`, and
`roll` remembers which devices trust the next authority.
"""
