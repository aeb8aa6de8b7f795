"""Who asks for the next candidates: searchers behind one small contract."""
