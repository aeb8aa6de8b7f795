"""From a table to a spec: what each column may be, why, and the file that says so.

``reading`` takes a table as people have it, ``cells`` knows numbers and dates as they are written, ``words`` the names
of the field in English and German, ``guessing`` finds date, outcome and channels, ``remaining`` the roles of all
other columns, each with a reason, ``draft`` is what they make of it; ``writing`` turns it into the spec and, where the
reader of specs would refuse the table, a clean copy of it; ``screen`` asks and tells.
"""
