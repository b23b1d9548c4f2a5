-- By which listener (sip.listeners) a device came: calls go back to it the same way (sip/listener.c). '': not known, any will do.
ALTER TABLE registrations ADD COLUMN listener TEXT NOT NULL DEFAULT '';
